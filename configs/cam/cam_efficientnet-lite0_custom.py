_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/custom.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=2, topk=3, threshold='auto'))
# the folders are the classes: the commands count them
num_classes_from_data = True
