"""What is done to ONNX graphs before they run: repairs, and keeping the repaired copies."""
