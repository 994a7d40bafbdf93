_base_ = ['../cam/cam_mobilenet-v1_ilsvrc.py']
# our choice: no code for this trunk is public
model = dict(
    neck=dict(
        inserts={
            name: dict(type='bas_mm.ADL', drop_rate=0.75, threshold=0.8)
            for name in ('model.5', 'model.11', 'model.13')
        }
    )
)
