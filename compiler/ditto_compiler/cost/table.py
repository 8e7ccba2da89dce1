"""x"""
from pathlib import Path
TABLE_PATH = Path(__file__).with_name("cost_table.json")
