"""What a sweep on Ray does when processes and nodes come and go."""
