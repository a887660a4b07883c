"""The system of record and the vocabulary that router and breeder share."""
