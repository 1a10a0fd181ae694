"""Where cases come from, one module each: OpenKBP, DICOM, matRad and synthetic anatomies."""
