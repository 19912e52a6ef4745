"""The read model: outcomes and statuses folded into SQL, and what gateways must recognise when it is asked again."""
