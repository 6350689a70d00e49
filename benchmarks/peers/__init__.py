"""What the store is measured against: load for it, for etcd and for Redis, and how each is started."""
