"""What each page says, as data: pure functions of what was read. Templates get finished words and numbers."""
