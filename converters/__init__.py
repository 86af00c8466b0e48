"""Other projects' networks to ONNX files for the model repository; torch is needed, the service has none.

Only `thoracle models add` comes here (docs/decisions/0017).
"""
