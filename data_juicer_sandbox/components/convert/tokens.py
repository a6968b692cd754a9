"""Data-Juicer's special tokens, which mark the positions of images, videos and audio in a text."""

IMAGE = "<__dj__image>"
AUDIO = "<__dj__audio>"
VIDEO = "<__dj__video>"
END_OF_CHUNK = "<|__dj__eoc|>"
ALL = (IMAGE, AUDIO, VIDEO, END_OF_CHUNK)
