_base_ = ['../cam/cam_mobilenet-v1_cub.py']
model = dict(
    head=dict(final_relu=False, topk=1, threshold=0.3),
    aux_losses=[
        dict(
            type='bas_mm.RAMLoss', bg_threshold=0.1, gap=0.2, weight=0.5, start_epoch=20
        )
    ],
    refiner=dict(
        type='bas_mm.SCGRefiner',
        first_threshold=0.1,
        second_threshold=0.5,
        second_weight=2.0,
        order=2,
    ),
)
