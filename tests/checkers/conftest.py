"""Generated examples have no limit on time: on a busy machine a slow example is no failure, and no mutant is killed by it."""

from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
