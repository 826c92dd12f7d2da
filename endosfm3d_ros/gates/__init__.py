"""Whether what is about to be published is true now; pure logic, one table of limits."""
