"""The decisions of notify. Pure: values in, a decision with its reason out."""
