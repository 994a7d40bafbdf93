_base_ = ['../bas/bas_efficientnet-lite0_ilsvrc.py']
# nothing is trained: these are its weights
stages = [
    dict(key='checkpoint', command='train', config='bas_efficientnet-lite0_ilsvrc')
]
model = dict(
    refiner=dict(
        type='bas_mm.SCGRefiner',
        first_threshold=0.2,
        second_threshold=0.2,
        second_weight=1.0,
        order=2,
    ),
)
