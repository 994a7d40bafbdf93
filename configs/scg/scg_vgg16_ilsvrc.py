_base_ = ['../bas/bas_vgg16_ilsvrc.py']
# nothing is trained: these are its weights
stages = [dict(key='checkpoint', command='train', config='bas_vgg16_ilsvrc')]
model = dict(
    neck=dict(taps=['features.13']),
    head=dict(threshold=0.3),
    refiner=dict(
        type='bas_mm.SCGRefiner',
        feats=(-3, -1),  # pool4 and conv5_3
        first_threshold=0.2,
        second_threshold=0.2,
        second_weight=1.0,
        order=2,
    ),
)
