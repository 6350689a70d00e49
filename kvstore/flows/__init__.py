"""One file per protocol: how an operation is coordinated. What a flow is made of is in `steps`."""
