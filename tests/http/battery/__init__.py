"""HTTP/1.1 as an intermediary must: cases as data, run against slotgate and, to calibrate, its peers."""
