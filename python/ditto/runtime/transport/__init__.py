"""How bytes travel: frames, links, networks, hosts."""
