"""The texts of emails and SMS: templates are rendered once for each variant, then filled in for each person. Pure."""
