"""Features of generated and real media: extracted once, kept, and compared under any protocol."""
