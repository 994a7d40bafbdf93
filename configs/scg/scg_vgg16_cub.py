_base_ = ['../bas/bas_vgg16_cub.py']
# nothing is trained: these are its weights
stages = [dict(key='checkpoint', command='train', config='bas_vgg16_cub')]
model = dict(
    neck=dict(taps=['features.13']),
    head=dict(threshold=0.3),
    refiner=dict(
        type='bas_mm.SCGRefiner',
        feats=(-3, -1),  # pool4 and conv5_3
        first_threshold=0.1,
        second_threshold=0.5,
        second_weight=2.0,
        order=2,
    ),
)
