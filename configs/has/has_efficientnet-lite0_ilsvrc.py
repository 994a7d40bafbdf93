_base_ = ['../cam/cam_efficientnet-lite0_ilsvrc.py']
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:-1],
            dict(type='bas_mm.HideAndSeek', grid_size=56, drop_rate=0.5, fill=127),
            _base_.train_pipeline[-1],
        ]
    )
)
