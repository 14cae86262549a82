"""What users test with: a fake upstream and a whole gateway on real sockets, and the conformance suite."""
