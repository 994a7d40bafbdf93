_base_ = ['../cam/cam_efficientnet-lite0_ilsvrc.py']
model = dict(
    head=dict(final_relu=False),
    aux_losses=[
        dict(
            type='bas_mm.RAMLoss', bg_threshold=0.4, gap=0.1, weight=0.5, start_epoch=1
        )
    ],
    refiner=dict(
        type='bas_mm.SCGRefiner',
        first_threshold=0.2,
        second_threshold=0.2,
        second_weight=1.0,
        order=2,
    ),
)
