"""Official clients as judges of the mock LM Studio: each call takes the server's URL, and fails if the answer is not right."""
