"""What the fork server of victims.py imports once, so that no victim has to."""

import torch._dynamo  # noqa: F401 (an optimiser loads it when it is made)
