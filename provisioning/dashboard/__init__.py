"""The dashboard: pages rendered here, one stylesheet, two small scripts, nothing from elsewhere.

routes    the addresses and who answers them; those of people and groups in `people`, of the configuration in
          `configuration`, of the instance in `health`
previews  dry runs that are made beside the requests
reading   what the pages show, from the engine
views     what a page says, in words: pure, from what was read
pages     templates to replies
"""
