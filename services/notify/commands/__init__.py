"""What a person may ask of notify: raise and close an alert, write down a call, answer an alert."""
