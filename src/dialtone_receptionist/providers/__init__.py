"""The providers that the receptionist calls, one file each, and the verification of their webhooks."""
