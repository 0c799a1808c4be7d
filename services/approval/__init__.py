"""approval: nobody goes abroad for their studies without their programme's approval."""
