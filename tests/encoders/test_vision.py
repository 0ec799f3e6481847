"""AlexNet and the ResNets: the published networks, and what they make of spectrograms."""

import librosa
import numpy as np
import pytest
import torch
from conftest_encoders import filled, relative_error
