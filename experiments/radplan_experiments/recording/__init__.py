"""What a run leaves on the disk: writing it, reading it, checking it, judging it anew, putting it together."""
