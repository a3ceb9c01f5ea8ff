"""The published study: its protocol, its numbers, and the verdict on ours."""
