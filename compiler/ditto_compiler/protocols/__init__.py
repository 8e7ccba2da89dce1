"""How the parties' protocols cut batches into messages: the runtime sends so, the cost model counts so."""
