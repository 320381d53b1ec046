"""The decoder, written for a member axis: M models of one shape run as one program."""
