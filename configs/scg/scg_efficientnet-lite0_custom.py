_base_ = ['../bas/bas_efficientnet-lite0_custom.py']
# nothing is trained: these are its weights
stages = [
    dict(key='checkpoint', command='train', config='bas_efficientnet-lite0_custom')
]
model = dict(
    refiner=dict(
        type='bas_mm.SCGRefiner',
        first_threshold=0.1,
        second_threshold=0.5,
        second_weight=2.0,
        order=2,
    ),
)
