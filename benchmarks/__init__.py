"""gradloom and its rivals on the same work, in one process. Run: python -m benchmarks [names] [--seconds s]"""
