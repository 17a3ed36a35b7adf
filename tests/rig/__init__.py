"""The test rig: real buses, hubs, devices and networks, each of which cleans up after itself.

`stage.py` owns what a test starts and ends it; the other modules each start or read one kind of thing. Tests get at
them through the fixtures of `tests/conftest.py`.
"""
