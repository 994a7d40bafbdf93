_base_ = './spol_efficientnet-lite0_cub.py'
# a combination: the segmenter learns from the maps of BAS
stages = [
    dict(
        key='pseudo_file',
        command='pseudo-masks',
        config='bas_efficientnet-lite0_cub',
    ),
]
