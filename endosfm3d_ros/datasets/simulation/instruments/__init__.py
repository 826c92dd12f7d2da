"""Surgical instruments: their parts, joints, surfaces and meshes."""
