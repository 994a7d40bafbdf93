_base_ = [
    '../_base_/models/deit-small.py',
    '../_base_/datasets/custom.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=2, threshold='auto'))
# the folders are the classes: the commands count them
num_classes_from_data = True
