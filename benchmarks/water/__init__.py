"""Made-up meters of any number and length, and warehouses to run them through."""
