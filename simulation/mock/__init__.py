"""Mock model servers: the real ones' manners, in virtual time or on a real socket. A folder per server."""
