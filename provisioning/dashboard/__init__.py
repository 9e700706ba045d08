"""The dashboard: pages rendered here, one stylesheet, one small script, nothing from elsewhere.

routes    the addresses and who answers them
reading   what the pages show, from the engine
views     what a page says, in words: pure, from what was read
pages     templates to replies
"""
