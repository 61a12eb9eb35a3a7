"""Profiles from `dialtone.toml` and the environment, validated; effects, fences, and what is armed."""

from dialtone.target.load import ProfileError, alerting, load
from dialtone.target.model import Profile
from dialtone.target.target import Target

__all__ = ["Profile", "ProfileError", "Target", "alerting", "load"]
