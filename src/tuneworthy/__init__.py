"""Tuneworthy answers by measurement: is fine-tuning worthwhile for this task?"""
