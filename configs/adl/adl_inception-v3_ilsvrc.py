_base_ = ['../cam/cam_inception-v3_ilsvrc.py']
# the third place of the benchmark, in its own head, is not there
model = dict(
    neck=dict(
        inserts={
            name: dict(type='bas_mm.ADL', drop_rate=0.75, threshold=0.9)
            for name in ('Mixed_5d', 'Mixed_6e')
        }
    )
)
